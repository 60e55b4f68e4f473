"""REST APIs where MiniStack keeps less than API Gateway: patches, and APIs that a document describes."""
