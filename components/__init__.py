"""What a stack is made of: Pulumi components."""
