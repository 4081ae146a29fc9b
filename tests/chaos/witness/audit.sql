CREATE FUNCTION witness_note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO witness_change (job, old, new, old_attempts, attempts, old_dispatches, wake_at, execution_start, at,
                                transaction)
    VALUES (NEW.id, OLD.status, NEW.status, OLD.attempts, NEW.attempts, OLD.dispatches, NEW.wake_at,
            NEW.execution_start, clock_timestamp(), txid_current());
    RETURN NULL;
END $$;

CREATE TRIGGER witness_note AFTER UPDATE ON django_future_celery_scheduledjob
FOR EACH ROW
WHEN (OLD.status IS DISTINCT FROM NEW.status OR (OLD.wake_at IS NULL AND OLD IS DISTINCT FROM NEW))
EXECUTE FUNCTION witness_note();
