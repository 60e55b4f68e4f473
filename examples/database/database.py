"""A database client opened once, at import, and used by every invocation of its environment.

The environment is frozen between invocations; the connection must survive that, and be opened anew when the server
has closed it meanwhile.
"""

import os

import pg8000.native


def connect():
    """Open a connection from the function's variables."""
    return pg8000.native.Connection(
        user=os.environ["DB_USER"],
        host=os.environ["DB_HOST"],
        port=int(os.environ["DB_PORT"]),
        database=os.environ["DB_NAME"],
        password=os.environ.get("DB_PASSWORD"),
        timeout=5,
    )


connection = connect()
connections = 1


def run(sql, **values):
    """Run a statement; once more on a new connection if the old one is gone."""
    global connection, connections
    try:
        return connection.run(sql, **values)
    except (pg8000.exceptions.InterfaceError, OSError):
        connection = connect()
        connections += 1
        return connection.run(sql, **values)


def handler(event, context):
    """Add a visit and return how many there are, and through which of the server's processes."""
    run("CREATE TABLE IF NOT EXISTS visits (name text)")
    run("INSERT INTO visits VALUES (:name)", name=event["name"])
    ((count,),) = run("SELECT count(*) FROM visits WHERE name = :name", name=event["name"])
    ((backend,),) = run("SELECT pg_backend_pid()")
    return {"count": count, "backend": backend, "connections": connections}
