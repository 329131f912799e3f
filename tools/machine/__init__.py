"""The set-up of a machine: host packages, Python, the Pulumi engine and the private Debian root, one module each."""
