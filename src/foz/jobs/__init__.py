"""Requests that outlive their connection: accepted once, finished once, whatever is killed."""
