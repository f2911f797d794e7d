-- SPDX-License-Identifier: GPL-2.0-only
-- What a results folder's own history has looked at: a run whose mark is another one has gone on since.

CREATE TABLE folders (
    name TEXT NOT NULL PRIMARY KEY, -- of a run's folder, also of one whose record cannot be read
    mark TEXT NOT NULL
) {by_key};
