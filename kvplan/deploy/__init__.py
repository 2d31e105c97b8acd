"""Deployment files, read: files to documents, documents to workloads, workloads to the engines that they start."""
