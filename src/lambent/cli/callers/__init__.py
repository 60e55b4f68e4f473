"""Commands about what calls functions: CodeCommit's repositories, Alexa's requests."""
