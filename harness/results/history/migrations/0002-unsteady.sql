-- SPDX-License-Identifier: GPL-2.0-only
-- Where cells of one setup did not all see the same: looking through every observation takes a second
-- at a million of them, and most of them never change.

CREATE TABLE unsteady (
    setup_id INTEGER NOT NULL REFERENCES setups (id),
    path_id INTEGER NOT NULL REFERENCES paths (id),
    PRIMARY KEY (setup_id, path_id)
) {by_key};

INSERT INTO unsteady (setup_id, path_id)
SELECT cells.setup_id, observations.path_id
FROM observations
JOIN cells ON cells.id = observations.cell_id
JOIN outcomes ON outcomes.id = observations.outcome_id
WHERE NOT outcomes.figure
GROUP BY cells.setup_id, observations.path_id
HAVING count(DISTINCT observations.outcome_id) > 1;
