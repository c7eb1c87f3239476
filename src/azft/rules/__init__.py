"""Pure functions that decide; nothing here touches a disk, a network or a clock."""
