"""The types of CloudFormation that are Lambda's: made, changed and removed by the daemon's own operations.

MiniStack's stacks find them in the table where its own stood; each works in a thread of its own, never on the loop.
"""
