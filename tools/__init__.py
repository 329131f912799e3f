"""Tools of the developer; never imported by the product."""
