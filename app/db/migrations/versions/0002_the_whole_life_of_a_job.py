"""The whole life of a job."""

import unicodedata
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
from sqlmodel.sql.sqltypes import UTCDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

JSON_VALUE = sa.JSON(none_as_null=True).with_variant(
    postgresql.JSONB(none_as_null=True), "postgresql"
)
ORDERED_JSON = sa.JSON(none_as_null=True)
NO_LIST = sa.text("'[]'")
NO = sa.text("false")
NOTHING = sa.text("''")
KEPT = timedelta(days=30)
THIRTY_DAYS = sa.text("2592000")


def columns() -> dict[str, tuple[sa.Column[object], ...]]:
    # Added one by one and never by copying a table: SQLite would take the rows of every table that
    # refers to it along when the old one is dropped.
    return {
        "application": (sa.Column("max_running_jobs", sa.Integer(), nullable=True),),
        "document": (
            sa.Column("examined_at", UTCDateTime(), nullable=True),
            sa.Column("examine_at", UTCDateTime(), nullable=True),
            sa.Column("filename_folded", sa.String(), nullable=False, server_default=NOTHING),
        ),
        "job": (
            sa.Column("workflow", sa.String(length=100), nullable=True),
            sa.Column("profile", sa.String(length=100), nullable=True),
            sa.Column("options", JSON_VALUE, nullable=False, server_default=NO_LIST),
            sa.Column("execute_after_id", sa.Uuid(), nullable=True),
            sa.Column("parent_id", sa.Uuid(), nullable=True),
            sa.Column("retry_of_id", sa.Uuid(), nullable=True),
            sa.Column("rules", ORDERED_JSON, nullable=True),
            sa.Column("input_tag", sa.String(length=100), nullable=True),
            sa.Column("output_tags", JSON_VALUE, nullable=False, server_default=NO_LIST),
            sa.Column("page_slice", sa.String(length=255), nullable=True),
            sa.Column("waits_for_job", sa.Boolean(), nullable=False, server_default=NO),
            sa.Column("queued_at", UTCDateTime(), nullable=True),
            sa.Column("give_up_at", UTCDateTime(), nullable=True),
            sa.Column("queue_timeout_seconds", sa.Integer(), nullable=True),
            sa.Column("ttl_seconds", sa.Integer(), nullable=False, server_default=THIRTY_DAYS),
            sa.Column("name_folded", sa.String(), nullable=False, server_default=NOTHING),
        ),
        "job_document": (
            sa.Column("options", JSON_VALUE, nullable=False, server_default=NO_LIST),
            sa.Column("draft_id", sa.Uuid(), nullable=True),
            sa.Column("prediction", JSON_VALUE, nullable=True),
            sa.Column("taken_from_id", sa.Uuid(), nullable=True),
        ),
    }


INDEXES = (
    ("ix_attachment_document_id", "attachment", ["document_id"]),
    ("ix_document_examine_at", "document", ["examine_at"]),
    ("ix_document_application_filename", "document", ["application_id", "id", "filename_folded"]),
    ("ix_document_expires_at", "document", ["expires_at"]),
    ("ix_file_removal_due_at", "file_removal", ["due_at"]),
    ("ix_job_application_created_at", "job", ["application_id", "created_at", "id"]),
    ("ix_job_application_name", "job", ["application_id", "id", "name_folded"]),
    ("ix_job_application_type", "job", ["application_id", "type", "id"]),
    ("ix_job_document_document", "job_document", ["document_id", "job_id"]),
    ("ix_job_expires_at", "job", ["expires_at"]),
    ("ix_job_give_up", "job", ["status", "give_up_at"]),
    ("ix_job_submitter", "job", ["submitter_id", "application_id", "id"]),
)
# Of the rows alone in which the first column is not null.
INDEXES_OF_KNOWN = (
    ("ix_document_original", "document", ["original_id", "application_id", "id"]),
    ("ix_job_execute_after", "job", ["execute_after_id", "application_id", "id"]),
    ("ix_job_finished", "job", ["finished_at", "application_id"]),
    ("ix_job_group", "job", ["group_id", "application_id", "id"]),
    ("ix_job_outcome", "job", ["outcome", "application_id", "id"]),
    ("ix_job_parent", "job", ["parent_id", "application_id", "id"]),
    ("ix_job_retry_of", "job", ["retry_of_id"]),
    ("ix_job_workflow", "job", ["workflow", "application_id", "id"]),
)
# Each begins as one of the new ones does.
REPLACED_INDEXES = (
    ("ix_document_application_id", "document", ["application_id"]),
    ("ix_document_original_id", "document", ["original_id"]),
    ("ix_job_application_created", "job", ["application_id", "id"]),
    ("ix_job_document_document_id", "job_document", ["document_id"]),
)


def upgrade() -> None:
    op.create_table(
        "idempotency_key",
        sa.Column("application_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("request_sha256", sa.String(length=64), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["application_id"],
            ["application.id"],
            name=op.f("fk_idempotency_key_application_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["job_id"], ["job.id"], name=op.f("fk_idempotency_key_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("application_id", "key", name=op.f("pk_idempotency_key")),
    )
    op.create_index("ix_idempotency_key_created_at", "idempotency_key", ["created_at"])
    op.create_index("ix_idempotency_key_job_id", "idempotency_key", ["job_id"])
    op.create_table(
        "sign_in_code",
        sa.Column("code_hash", sa.String(length=64), nullable=False),
        sa.Column("application_id", sa.Uuid(), nullable=False),
        sa.Column("expires_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["application_id"],
            ["application.id"],
            name=op.f("fk_sign_in_code_application_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("code_hash", name=op.f("pk_sign_in_code")),
    )
    op.create_index("ix_sign_in_code_application_id", "sign_in_code", ["application_id"])
    op.execute("ALTER TABLE file_removal RENAME COLUMN created_at TO due_at")
    for table, added in columns().items():
        for column in added:
            op.add_column(table, column)
    op.execute(
        "UPDATE document SET examine_at = created_at "
        "WHERE status = 'PROCESSED' AND media_length IS NULL"
    )
    op.execute("UPDATE job SET queued_at = created_at WHERE status <> 'NEW'")
    op.execute(
        "UPDATE job SET error_code = 'CANCELED', error_message = 'The job was canceled.' "
        "WHERE status = 'CANCELED'"
    )
    fold("document", "filename")
    fold("job", "name")
    for name, table, _on in REPLACED_INDEXES:
        op.drop_index(name, table)
    for name, table, on in INDEXES:
        op.create_index(name, table, on)
    for name, table, on in INDEXES_OF_KNOWN:
        known = sa.text(f"{on[0]} IS NOT NULL")
        op.create_index(name, table, on, sqlite_where=known, postgresql_where=known)
    op.drop_index("ix_job_claim", "job")
    op.drop_index("ix_job_lease", "job")
    op.create_index(
        "ix_job_lease",
        "job",
        ["application_id", "lease_until"],
        sqlite_where=sa.text("lease_until IS NOT NULL"),
        postgresql_where=sa.text("lease_until IS NOT NULL"),
    )
    op.create_index(
        "ix_job_turn",
        "job",
        ["application_id", "priority", "queued_at", "id", "due_at"],
        sqlite_where=sa.text("status = 'PENDING' AND waits_for_data IS 0 AND waits_for_job IS 0"),
        postgresql_where=sa.text(
            "status = 'PENDING' AND waits_for_data IS false AND waits_for_job IS false"
        ),
    )
    op.create_table(
        "turn",
        sa.Column("application_id", sa.Uuid(), nullable=False),
        sa.Column("served_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["application_id"],
            ["application.id"],
            name=op.f("fk_turn_application_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("application_id", name=op.f("pk_turn")),
    )
    op.create_table(
        "rule_document",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("document_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["job.id"], name=op.f("fk_rule_document_job_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["document_id"], ["document.id"], name=op.f("fk_rule_document_document_id")
        ),
        sa.PrimaryKeyConstraint("job_id", "document_id", name=op.f("pk_rule_document")),
    )
    op.create_index("ix_rule_document_document_id", "rule_document", ["document_id"])
    retype_result("json")
    expire()
    copy_events(sqlite_autoincrement=True)


def copy_events(*, sqlite_autoincrement: bool) -> None:
    # No table refers to this one.
    if op.get_bind().dialect.name == "sqlite":
        kept = {"sqlite_autoincrement": sqlite_autoincrement}
        with op.batch_alter_table("job_event", recreate="always", table_kwargs=kept):
            pass


def retype_result(kind: str) -> None:
    # Conditions look at the order of keys, which only PostgreSQL's json keeps.
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"ALTER TABLE job ALTER COLUMN result TYPE {kind} USING result::{kind}")


def downgrade() -> None:
    """Go back to the tables of the first version.

    Lost for good: of jobs what they come after, belong to and repeat, their rules, workflow,
    options, tags, slice of pages and times; predictions; the limits of applications on jobs that
    run; idempotency keys; links that sign in.

    Raises:
        RuntimeError: there are jobs that the first version cannot read, or would start too soon.
    """
    unfit = "SELECT count(*) FROM job WHERE type <> 'SEGMENT' OR waits_for_job"
    if found := op.get_bind().execute(sa.text(unfit)).scalar_one():
        raise RuntimeError(
            f"{found} jobs are not of type SEGMENT, or wait for another job: the first version"
            " knows no such jobs. Delete them first."
        )
    copy_events(sqlite_autoincrement=False)
    retype_result("jsonb")
    op.drop_table("rule_document")
    op.drop_table("turn")
    op.drop_index("ix_job_turn", "job")
    op.drop_index("ix_job_lease", "job")
    op.create_index("ix_job_lease", "job", ["status", "lease_until"])
    op.create_index("ix_job_claim", "job", ["status", "priority", "due_at"])
    for name, table, _on in (*INDEXES, *INDEXES_OF_KNOWN):
        op.drop_index(name, table)
    for name, table, on in REPLACED_INDEXES:
        op.create_index(name, table, on)
    for table, added in columns().items():
        for column in added:
            op.drop_column(table, column.name)
    op.execute("ALTER TABLE file_removal RENAME COLUMN due_at TO created_at")
    op.drop_table("sign_in_code")
    op.drop_table("idempotency_key")


def expire() -> None:
    """Give a time to what was to stay for ever: jobs that have ended, and documents."""
    at = datetime.now(UTC) + KEPT
    job, document = (
        sa.table(name, sa.column("expires_at", UTCDateTime()), sa.column("finished_at"))
        for name in ("job", "document")
    )
    ended = sa.update(job).where(job.c.finished_at.is_not(None), job.c.expires_at.is_(None))
    kept = sa.update(document).where(document.c.expires_at.is_(None))
    for statement in (ended, kept):
        op.get_bind().execute(statement.values(expires_at=at))


def fold(table: str, column: str) -> None:
    """Fill in a column that holds another one folded, as `app.db.columns.fold` does."""
    rows = sa.table(table, *map(sa.column, ("id", column, f"{column}_folded")))
    connection = op.get_bind()
    statement = (
        sa.update(rows)
        .where(rows.c.id == sa.bindparam("row"))
        .values({f"{column}_folded": sa.bindparam("folded")})
    )
    last: object = None
    while True:
        batch = sa.select(rows.c.id, rows.c[column]).order_by(rows.c.id).limit(10_000)
        if last is not None:
            batch = batch.where(rows.c.id > last)
        found = connection.execute(batch).all()
        if not found:
            return
        last = found[-1][0]
        folded = [
            {"row": id, "folded": unicodedata.normalize("NFC", value.casefold())}
            for id, value in found
        ]
        connection.execute(statement, folded)
