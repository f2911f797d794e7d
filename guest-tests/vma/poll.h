/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What happens to a memslot while the guest reads it again and again (the payload `poll`), from
 * another CPU, so that the guest need not leave its own: a missing invalidation shows as a load
 * that still hits. An emulated CPU forgets what it has cached whenever it leaves the guest, e.g.
 * for the host's timer. Hence many rounds; none in which a load hits proves little.
 */
#ifndef VMA_POLL_H
#define VMA_POLL_H

#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "vm.h"

#define ROUNDS		100
#define LAST		(1UL << 63)	/* the round behind which the guest ends */
#define ROUND_MS	1000		/* for the guest to answer */

enum event { NO_EVENT, SLOT_REMOVED, PAGE_REPLACED };

/* The guest's view of it is in payload.h. */
struct shared {
	uint64_t round, loaded, answered;
};

struct poll {
	struct vm *vm;
	enum event event;
	void *memory;
	uint64_t value;		/* in the memory at the end */
	unsigned int stale;
	volatile char *others;	/* a page for each round, not touched yet */
	pthread_t thread;
};

static inline struct shared *shared_of(const struct poll *poll)
{
	return (struct shared *)(poll->vm->ram + SHARED);
}

static inline uint64_t clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000UL + now.tv_nsec / 1000000;
}

/* Has the guest load once more. False when it does not come to that. */
static inline bool play_round(const struct poll *poll, uint64_t round)
{
	struct shared *shared = shared_of(poll);
	uint64_t end = clock_ms() + ROUND_MS;

	__atomic_store_n(&shared->round, round, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&shared->answered, __ATOMIC_SEQ_CST) != round) {
		if (clock_ms() > end)
			return false;
		sched_yield();
	}
	return true;
}

/* Takes the page away and puts another one there, with another value. */
static inline bool replace_page(struct poll *poll, uint64_t round)
{
	uint64_t value = poll->value + ROUNDS - round;

	if (madvise(poll->memory, TABLE, MADV_DONTNEED))
		return false;
	/* The page that was taken away is the next one that the kernel gives. */
	poll->others[round * TABLE] = 1;
	*(volatile uint64_t *)poll->memory = value;
	if (!play_round(poll, round))
		return false;
	poll->stale += shared_of(poll)->loaded != value;
	return true;
}

static inline void *do_event(void *argument)
{
	struct poll *poll = argument;

	if (play_round(poll, ROUNDS + 1)) {	/* the memory is mapped */
		if (poll->event == SLOT_REMOVED)
			add_slot(poll->vm, 1, TESTED_IPA, poll->memory, 0, 0, false);
		for (uint64_t round = 1; poll->event == PAGE_REPLACED && round <= ROUNDS; round++)
			if (!replace_page(poll, round))
				break;
	}
	__atomic_store_n(&shared_of(poll)->round, LAST, __ATOMIC_SEQ_CST);
	return NULL;
}

/* Begins the event, if there is one, which waits for the guest. */
static inline bool begin_event(struct poll *poll)
{
	if (!poll->event)
		return true;
	poll->others = mmap(NULL, (ROUNDS + 1) * TABLE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (poll->others == MAP_FAILED)
		return false;
	return !pthread_create(&poll->thread, NULL, do_event, poll);
}

/* Waits for the event to be over. False where it could not be made: `failed` says why. */
static inline bool end_event(struct poll *poll)
{
	if (poll->event)
		pthread_join(poll->thread, NULL);
	return !poll->vm->failed;
}

#endif /* VMA_POLL_H */
