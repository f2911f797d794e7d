-- SPDX-License-Identifier: GPL-2.0-only
-- A cell may stand for several boots; where these did not all see the same, what each of them saw.

ALTER TABLE cells ADD COLUMN repeats INTEGER NOT NULL DEFAULT 1;

CREATE TABLE splits (
    path_id INTEGER NOT NULL REFERENCES paths (id),
    cell_id INTEGER NOT NULL REFERENCES cells (id) ON DELETE CASCADE,
    word TEXT NOT NULL,     -- status and value
    count INTEGER NOT NULL,
    PRIMARY KEY (path_id, cell_id, word)
) {by_key};
CREATE INDEX splits_of_cell ON splits (cell_id);
