"""Answers about themes: clusters, runs and jobs."""

from apiflask import Schema, fields

from imgindex.server.api.schemas.shapes import array, choice, flag, following, integer, many, number, one, share, text


class Member(Schema):
    """An image of a theme."""

    id = integer()
    path = text()
    distance = number(metadata={"description": "From the theme's centre, 0 to 2."})
    new = flag(metadata={"description": "It was added since the run."})


class Cluster(Schema):
    """A theme with its most typical images first."""

    id = integer()
    name = text(allow_none=True)
    size = integer()
    share = share(metadata={"description": "Of all images."})
    images = many(Member)


class Renamed(Cluster):
    """A theme with its new name."""


class ClusterPage(Cluster):
    """A theme with a page of its images, the most typical first."""

    next = following()


class Drift(Schema):
    """How the collection changed since the run."""

    images = integer()
    placed = integer()
    removed = integer()
    far = integer()
    growth = number()
    far_share = share()


class Clusters(Schema):
    """The themes of the last run, the largest first."""

    run = integer(allow_none=True)
    k = integer()
    clusters = many(Cluster)
    drift = one(Drift, allow_none=True)


class Candidate(Schema):
    """How well a number of clusters fits."""

    k = integer()
    inertia = number()
    silhouette = number()
    error = number()


class Lineage(Schema):
    """What became of the themes of the previous run; ids of themes."""

    kept = array(fields.Integer())
    new = array(fields.Integer())
    gone = array(fields.Integer())
    splits = array(fields.List(fields.Raw()))
    merges = array(fields.List(fields.Raw()))
    stayed = integer()
    moved = integer()


class Run(Schema):
    """One clustering of the whole index."""

    run = integer()
    created = text()
    seconds = number()
    why = text()
    images = integer()
    k = integer()
    elbow = integer(allow_none=True)
    silhouette = number()
    curve = many(Candidate)
    model = text()
    space = integer()
    lineage = one(Lineage)


class Runs(Schema):
    """A page of runs, the newest first."""

    runs = many(Run)
    next = following()


class Job(Schema):
    """A run that was started on this server."""

    id = text()
    state = choice("running", "done", "failed")
    created = text()
    done = integer(metadata={"description": "Numbers of clusters that were tried."})
    total = integer()
    run = integer(allow_none=True, metadata={"description": "The run that it produced."})
    reason = text(allow_none=True, metadata={"description": "Why it failed."})
