-- fsck, which runs as a projector, compares the head of the log with its last event.
grant select on log_head to notary_projector;
