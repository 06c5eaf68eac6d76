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


@migrations()
def m002_duplicates(db: Database) -> None:
    """What proves that two images show the same picture, what a person said of it, and what was done about it."""
    for statement in (
        # Local features, and a digest of the pixels: two files may hold the same picture in other bytes.
        """CREATE TABLE features (
            image INTEGER PRIMARY KEY REFERENCES images(id) ON DELETE CASCADE,
            pixels BLOB NOT NULL, description BLOB NOT NULL)""",
        "CREATE INDEX features_pixels ON features(pixels)",
        # Each image's nearest in one compare space (-1: still to be looked for), how near the farthest of them is, and
        # whether all of them have a verdict.
        """CREATE TABLE lists (
            image INTEGER PRIMARY KEY REFERENCES images(id) ON DELETE CASCADE,
            space INTEGER NOT NULL, radius REAL NOT NULL, proven INTEGER NOT NULL)""",
        "CREATE INDEX lists_space ON lists(space)",
        "CREATE INDEX lists_open ON lists(image) WHERE NOT proven",
        """CREATE TABLE nearest (
            image INTEGER NOT NULL REFERENCES images(id) ON DELETE CASCADE,
            other INTEGER NOT NULL REFERENCES images(id) ON DELETE CASCADE,
            cosine REAL NOT NULL, PRIMARY KEY (image, other)) WITHOUT ROWID""",
        "CREATE INDEX nearest_other ON nearest(other)",
        """CREATE TRIGGER images_leave_lists BEFORE DELETE ON images
            BEGIN UPDATE lists SET space = -1 WHERE image IN (SELECT image FROM nearest WHERE other = OLD.id); END""",
        # `lists` counts changes of lists, so that an open index knows whether it holds their radii.
        "ALTER TABLE state ADD COLUMN lists INTEGER NOT NULL DEFAULT 0",
        """CREATE TRIGGER lists_spoilt AFTER UPDATE OF space ON lists WHEN NEW.space = -1
            BEGIN UPDATE state SET lists = lists + 1; END""",
        # A verdict depends on its two images only, so it is kept when they are not near any more. kind 'none': looked
        # at, and nothing proven.
        """CREATE TABLE pairs (
            a INTEGER NOT NULL REFERENCES images(id) ON DELETE CASCADE,
            b INTEGER NOT NULL REFERENCES images(id) ON DELETE CASCADE,
            kind TEXT NOT NULL CHECK (kind IN ('copy', 'alike', 'none')), score REAL NOT NULL, inliers INTEGER NOT NULL,
            transform TEXT NOT NULL, mirrored INTEGER NOT NULL, overlap REAL NOT NULL,
            PRIMARY KEY (a, b), CHECK (a < b)) WITHOUT ROWID""",
        "CREATE INDEX pairs_b ON pairs(b)",
        "CREATE INDEX pairs_proven ON pairs(kind) WHERE kind <> 'none'",
        # Older versions kept no features; once an image has them, it is looked at again.
        """CREATE TRIGGER features_come AFTER INSERT ON features BEGIN
            DELETE FROM pairs WHERE a = NEW.image OR b = NEW.image;
            UPDATE lists SET space = -1 WHERE image IN (SELECT image FROM nearest WHERE other = NEW.image);
            INSERT OR REPLACE INTO lists VALUES (NEW.image, -1, -2, 0);
        END""",
        # So that an open index learns of vectors that went without reading all ids.
        "CREATE TABLE removals (image INTEGER PRIMARY KEY, generation INTEGER NOT NULL)",
        "CREATE INDEX removals_generation ON removals(generation)",
        """CREATE TRIGGER vectors_removed AFTER DELETE ON vectors
            BEGIN INSERT OR REPLACE INTO removals SELECT OLD.image, generation FROM state; END""",
        # Decisions hold contents and paths, not ids: they outlive a removal.
        """CREATE TABLE different (
            a BLOB NOT NULL, b BLOB NOT NULL, created TEXT NOT NULL,
            PRIMARY KEY (a, b), CHECK (a < b)) WITHOUT ROWID""",
        "CREATE TABLE keepers (path TEXT PRIMARY KEY, created TEXT NOT NULL) WITHOUT ROWID",
        # Which group an image was in when groups were last looked at, so that a group keeps its id.
        """CREATE TABLE members (
            image INTEGER PRIMARY KEY REFERENCES images(id) ON DELETE CASCADE, "group" INTEGER NOT NULL)""",
        "CREATE TABLE group_ids (next INTEGER NOT NULL)",
        "INSERT INTO group_ids VALUES (1)",
        """CREATE TABLE reports (
            id INTEGER PRIMARY KEY AUTOINCREMENT, created TEXT NOT NULL, images INTEGER NOT NULL,
            files INTEGER NOT NULL, redundant INTEGER NOT NULL, groups TEXT NOT NULL)""",
        """CREATE TABLE calibrations (
            id INTEGER PRIMARY KEY AUTOINCREMENT, created TEXT NOT NULL, images INTEGER NOT NULL,
            sentence TEXT NOT NULL, result TEXT NOT NULL)""",
        # What `clean` does to files, written before it is done.
        """CREATE TABLE ledger (
            id INTEGER PRIMARY KEY AUTOINCREMENT, run INTEGER NOT NULL, created TEXT NOT NULL, path TEXT NOT NULL,
            sha256 BLOB NOT NULL, bytes INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, mode INTEGER NOT NULL,
            kept TEXT NOT NULL, action TEXT NOT NULL, target TEXT NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('begun', 'done', 'undone', 'failed')), note TEXT NOT NULL)""",
        "CREATE INDEX ledger_state ON ledger(state)",
    ):
        db.execute(statement)


@migrations()
def m003_themes(db: Database) -> None:
    """Runs of the clustering, the themes that live through them, and where each image belongs."""
    for statement in (
        # `mean`, `components` and `singular` are the projection in which the centroids lie; only the newest run has it.
        """CREATE TABLE runs (
            id INTEGER PRIMARY KEY AUTOINCREMENT, created TEXT NOT NULL, seconds REAL NOT NULL, why TEXT NOT NULL,
            images INTEGER NOT NULL, k INTEGER NOT NULL, elbow INTEGER, silhouette REAL NOT NULL, curve TEXT NOT NULL,
            model TEXT NOT NULL, space INTEGER NOT NULL, far REAL NOT NULL, lineage TEXT NOT NULL,
            mean BLOB, components BLOB, singular BLOB)""",
        "CREATE TABLE themes (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT)",
        """CREATE TABLE run_themes (
            run INTEGER NOT NULL REFERENCES runs(id), theme INTEGER NOT NULL REFERENCES themes(id),
            size INTEGER NOT NULL, centroid BLOB NOT NULL, PRIMARY KEY (run, theme)) WITHOUT ROWID""",
        # silhouette NULL: placed since the run.
        """CREATE TABLE placements (
            image INTEGER PRIMARY KEY REFERENCES images(id) ON DELETE CASCADE,
            theme INTEGER NOT NULL REFERENCES themes(id), distance REAL NOT NULL, silhouette REAL)""",
        "CREATE INDEX placements_theme ON placements(theme)",
    ):
        db.execute(statement)


@migrations()
def m004_holding(db: Database) -> None:
    """What each file holds, how two proven pictures relate, which folders are protected, and what is moved together."""
    for statement in (
        # Of a content, as JSON (`Facts`); images of older versions have none until `sync` has read them again.
        """CREATE TABLE facts (
            image INTEGER PRIMARY KEY REFERENCES images(id) ON DELETE CASCADE, facts TEXT NOT NULL)""",
        "CREATE INDEX facts_raw ON facts(image) WHERE json_extract(facts, '$.raw')",
        # Of a proven pair, once both files were looked at; as its verdict it depends on the two contents only.
        """CREATE TABLE relations (
            a INTEGER NOT NULL REFERENCES images(id) ON DELETE CASCADE,
            b INTEGER NOT NULL REFERENCES images(id) ON DELETE CASCADE,
            kind TEXT NOT NULL CHECK (kind IN ('version', 'part', 'edited', 'alike')),
            share_a REAL NOT NULL, share_b REAL NOT NULL, place_ab REAL NOT NULL, place_ba REAL NOT NULL,
            finer REAL NOT NULL, noisier REAL NOT NULL, light REAL NOT NULL,
            stretched INTEGER NOT NULL, transform TEXT NOT NULL, places TEXT NOT NULL,
            PRIMARY KEY (a, b), CHECK (a < b)) WITHOUT ROWID""",
        "CREATE INDEX relations_b ON relations(b)",
        # 1: seen. 2: its decoder could not compare the two. Proven pairs are few among all pairs, and those that nobody
        # has looked at are found at once.
        "ALTER TABLE pairs ADD COLUMN looked INTEGER NOT NULL DEFAULT 0",
        "CREATE INDEX pairs_unlooked ON pairs(a, b) WHERE kind = 'copy' AND NOT looked",
        """CREATE TRIGGER relations_come AFTER INSERT ON relations
            BEGIN UPDATE pairs SET looked = 1 WHERE a = NEW.a AND b = NEW.b; END""",
        # 0: not known, as of files that were recorded by an older version.
        "ALTER TABLE files ADD COLUMN device INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE files ADD COLUMN inode INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE files ADD COLUMN ctime_ns INTEGER NOT NULL DEFAULT 0",
        """CREATE TABLE policies (
            folder TEXT PRIMARY KEY, kind TEXT NOT NULL CHECK (kind IN ('protect', 'prefer')),
            created TEXT NOT NULL) WITHOUT ROWID""",
        "CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
        # By which an entry is known as this user's; empty: of an older version.
        "ALTER TABLE ledger ADD COLUMN seal BLOB NOT NULL DEFAULT x''",
        # Where both places of a file were mounted; '': not known, as of what an older version put away.
        "ALTER TABLE ledger ADD COLUMN drive TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE ledger ADD COLUMN target_drive TEXT NOT NULL DEFAULT ''",
        # Paths of one file that no number of it tells (two mounts of one folder).
        "CREATE TABLE views (one TEXT NOT NULL, other TEXT NOT NULL, PRIMARY KEY (one, other)) WITHOUT ROWID",
    ):
        db.execute(statement)


@migrations()
def m005_strips(db: Database) -> None:
    """Strips and thumbnails are described, and looked at, otherwise than before: `sync` reads them again.

    What was proven of them stays until then (`features_come`).
    """
    long, small = "max(width, height) > {} * min(width, height)", "min(width, height) BETWEEN 32 AND {}"
    looked = f"SELECT id FROM images WHERE {long.format(4)} OR {small.format(47)}"
    for statement in (
        f"DELETE FROM features WHERE image IN (SELECT id FROM images WHERE {long.format(12)} OR {small.format(63)})",
        f"DELETE FROM relations WHERE a IN ({looked}) OR b IN ({looked})",
        f"UPDATE pairs SET looked = 0 WHERE looked AND (a IN ({looked}) OR b IN ({looked}))",
    ):
        db.execute(statement)
