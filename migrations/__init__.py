"""The steps that bring an index's database to the newest schema, in order; never edit one that has shipped."""

from sqlite_utils import Database, Migrations

migrations = Migrations("imgindex")


@migrations()
def m001_images(db: Database) -> None:
    """One row per content, one row per path, one vector per image, and what they were made with."""
    for statement in (
        """CREATE TABLE model (
            name TEXT NOT NULL, layer TEXT NOT NULL, pooling TEXT NOT NULL, input_size INTEGER NOT NULL,
            preprocessing TEXT NOT NULL, weights TEXT NOT NULL, dimension INTEGER NOT NULL)""",
        """CREATE TABLE images (
            id INTEGER PRIMARY KEY AUTOINCREMENT, sha256 BLOB NOT NULL UNIQUE,
            width INTEGER NOT NULL, height INTEGER NOT NULL, bytes INTEGER NOT NULL)""",
        """CREATE TABLE vectors (
            image INTEGER PRIMARY KEY REFERENCES images(id) ON DELETE CASCADE, vector BLOB NOT NULL)""",
        """CREATE TABLE files (
            path TEXT PRIMARY KEY, image INTEGER NOT NULL REFERENCES images(id),
            bytes INTEGER NOT NULL, mtime_ns INTEGER NOT NULL) WITHOUT ROWID""",
        "CREATE INDEX files_image ON files(image)",
        # Files that could not be read, so that an unchanged one is not tried again by the same decoder.
        """CREATE TABLE failures (
            path TEXT PRIMARY KEY, reason TEXT NOT NULL, bytes INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
            decoder TEXT NOT NULL) WITHOUT ROWID""",
        "CREATE TABLE folders (path TEXT PRIMARY KEY) WITHOUT ROWID",
        """CREATE TABLE spaces (
            version INTEGER PRIMARY KEY AUTOINCREMENT, images INTEGER NOT NULL, mean BLOB NOT NULL,
            components BLOB NOT NULL, singular BLOB NOT NULL, created TEXT NOT NULL)""",
        # `generation` counts changes of `vectors`, so that a derived FAISS file knows whether it is current.
        "CREATE TABLE state (uid TEXT NOT NULL, generation INTEGER NOT NULL)",
        "INSERT INTO state VALUES (lower(hex(randomblob(16))), 0)",
        *(
            f"CREATE TRIGGER vectors_{event.lower()} AFTER {event} ON vectors "
            "BEGIN UPDATE state SET generation = generation + 1; END"
            for event in ("INSERT", "UPDATE", "DELETE")
        ),
    ):
        db.execute(statement)
