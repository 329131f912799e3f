"""What stands beside an engine built from Go modules, and the module that it is built from."""
