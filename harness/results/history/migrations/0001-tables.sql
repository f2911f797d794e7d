-- SPDX-License-Identifier: GPL-2.0-only
-- What runs saw. Names and words stand in tables of their own, so that an observation is four numbers.
-- {id}: a number the database gives. {by_key}: rows are stored in the order of the primary key.

CREATE TABLE runs (
    id {id},
    name TEXT NOT NULL,     -- of its folder
    node TEXT NOT NULL,     -- the host that ran it
    folder TEXT NOT NULL,
    plan TEXT NOT NULL,
    started TEXT NOT NULL,  -- ISO 8601, UTC: sorts as it reads
    status TEXT NOT NULL,
    UNIQUE (name, node)
);

CREATE TABLE kernels (
    id {id},
    name TEXT NOT NULL,
    source TEXT NOT NULL,
    version TEXT NOT NULL,
    revision TEXT NOT NULL, -- the commit
    series_hash TEXT NOT NULL,
    config_hash TEXT NOT NULL,
    compiler TEXT NOT NULL,
    build_key TEXT NOT NULL,
    UNIQUE (name, build_key)
);

CREATE TABLE machines (
    id {id},
    name TEXT NOT NULL,
    topology TEXT NOT NULL,
    accel TEXT NOT NULL,
    cpu TEXT NOT NULL,
    smp INTEGER NOT NULL,
    memory_mib INTEGER NOT NULL,
    qemu TEXT NOT NULL,
    UNIQUE (name, topology, accel, cpu, smp, memory_mib, qemu)
);

CREATE TABLE suites (
    id {id},
    name TEXT NOT NULL,
    source_hash TEXT NOT NULL,
    UNIQUE (name, source_hash)
);

-- The inputs of a cell: cells of one setup should see the same.
CREATE TABLE setups (
    id {id},
    kernel_id INTEGER NOT NULL REFERENCES kernels (id),
    machine_id INTEGER NOT NULL REFERENCES machines (id),
    suite_id INTEGER NOT NULL REFERENCES suites (id),
    inputs TEXT NOT NULL,   -- a hash that also has the machine's details and the harness
    UNIQUE (kernel_id, machine_id, suite_id, inputs)
);

CREATE TABLE cells (
    id {id},
    run_id INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    setup_id INTEGER NOT NULL REFERENCES setups (id),
    status TEXT NOT NULL,
    failure TEXT NOT NULL,  -- its class, e.g. kvm-error
    carried TEXT NOT NULL   -- the run that has its observations, when it was not run again
);
CREATE INDEX cells_of_run ON cells (run_id);
CREATE INDEX cells_of_setup ON cells (setup_id);

CREATE TABLE paths (
    id {id},
    path TEXT NOT NULL UNIQUE
);

CREATE TABLE outcomes (
    id {id},
    status TEXT NOT NULL,
    value TEXT NOT NULL,    -- a word; empty for figures
    unit TEXT NOT NULL,     -- of figures
    figure BOOLEAN NOT NULL,
    UNIQUE (status, value, unit, figure)
);

CREATE TABLE observations (
    path_id INTEGER NOT NULL REFERENCES paths (id),
    cell_id INTEGER NOT NULL REFERENCES cells (id) ON DELETE CASCADE,
    outcome_id INTEGER NOT NULL REFERENCES outcomes (id),
    figure DOUBLE PRECISION,
    PRIMARY KEY (path_id, cell_id)
) {by_key};
CREATE INDEX observations_of_cell ON observations (cell_id);
