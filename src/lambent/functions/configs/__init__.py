"""What hangs on a function beside its code and configuration: how it is called, managed and paid for."""
