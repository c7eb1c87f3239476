"""What the emulated services do, one service a module."""
