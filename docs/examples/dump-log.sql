-- A dump of the log alone, as of one moment, while publishes go on: three files in this directory.
--   psql "$FROM" --no-psqlrc --set ON_ERROR_STOP=1 --file dump-log.sql
-- docs/databases.md, "A dump of the log alone".
begin isolation level repeatable read read only;
\copy files to 'files.copy' with (header)
\copy events to 'events.copy' with (header)
\copy log_head to 'log_head.copy' with (header)
commit;
