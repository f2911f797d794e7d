/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef PROVOKE_H
#define PROVOKE_H

/* Each provokes one failure and returns 0 or a negative errno, if at all. */

/* hangs.c */
int provoke_hang(void);
int provoke_hung(void);
int provoke_irqoff(void);
int provoke_spin(void);
int provoke_workqueue(void);

/* locks.c: what lockdep and its relatives tell of */
int provoke_atomic(void);
int provoke_held(void);
int provoke_irqlock(void);
int provoke_lockorder(void);
int provoke_rcu(void);
int provoke_recursive(void);
int provoke_unlock(void);

/* memory.c: what sanitizers and checks of data structures tell of */
int provoke_bounds(void);
int provoke_cfi(void);
int provoke_doublefree(void);
int provoke_leak(void);
int provoke_list(void);
int provoke_overflow(void);
int provoke_race(void);
int provoke_refcount(void);
int provoke_shift(void);
int provoke_uaf(void);

#endif
