-- A hint holds for one topic only. After a move to topics with more partitions, those of the former
-- one could by chance fit a record of the new one, and what comes before it would never be published.
-- Empty: written before this was noted, and believed.
ALTER TABLE eventstore.relay_positions ADD COLUMN topic text NOT NULL DEFAULT '';
GRANT INSERT (topic), UPDATE (topic) ON eventstore.relay_positions TO passbook_outbox_relay;
