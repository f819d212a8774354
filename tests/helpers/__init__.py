"""What several tests share: devices, networks, and the source itself."""
