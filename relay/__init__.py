"""The post office: it orders, keeps and forwards what it cannot read."""
