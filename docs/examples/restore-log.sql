-- Puts a dump of the log into a database that `npm run migrate` made, and that has no log yet.
--   psql "$TO" --no-psqlrc --set ON_ERROR_STOP=1 --single-transaction --file restore-log.sql
-- docs/databases.md, "A dump of the log alone".
delete from log_head where position = 0; -- a migration put it there; a log that has begun stays, and ends this
\copy files from 'files.copy' with (header match)
\copy events from 'events.copy' with (header match)
\copy log_head from 'log_head.copy' with (header match)
