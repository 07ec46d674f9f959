"""Which topics there are, who subscribes to them, and how far each subscription got."""
