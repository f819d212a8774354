"""What has nothing to do with hardware: files, processes, interruptions, spans of time."""
