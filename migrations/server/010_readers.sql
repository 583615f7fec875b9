-- Processes that answer downloads from memory, and how far of the log each has taken note. A publish
-- is answered when all of them have come past it (ADR 0019).
create table readers (
  instance uuid primary key,
  seen bigint not null,
  -- Grows while the process lives. Whoever has seen it stand still for longer than a lease may remove
  -- the row, and nobody but its owner may change it.
  renewals bigint not null default 0
) with (fillfactor = 10);

grant select, insert, update, delete on readers to notary_server;
