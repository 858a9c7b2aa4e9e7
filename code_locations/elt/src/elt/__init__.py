"""Files and a users API into the warehouse's raw tables."""
