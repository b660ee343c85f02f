"""What the command line does: put files through a service, look after one, say how it is."""
