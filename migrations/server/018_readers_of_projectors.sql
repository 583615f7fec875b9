-- A projector that reads files asks as APIs do who may still answer with older ones (ADR 0019), and puts out
-- who stands still. It answers nothing from memory itself, so it adds no row.
grant select, delete on readers to notary_projector;
