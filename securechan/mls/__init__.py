"""RFC 9420, Messaging Layer Security, as values: a group is a value and every operation answers with the next one."""
