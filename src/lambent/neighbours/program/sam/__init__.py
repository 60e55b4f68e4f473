"""CHILD. What turns SAM's templates into CloudFormation's, and what of them MiniStack's stacks would leave out.

Owns: nothing. Never: speaks to anything outside of this process.
"""
