"""`bff okta`: one file for each command, the options that they share (`context`), and the group (`group`).

Owns the arguments and output of these commands. Does not own what they do: `bff.admin.okta` does.
"""
