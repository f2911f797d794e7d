/* SPDX-License-Identifier: GPL-2.0-only */
/* One test after the other: a process for its VM, the audit of it, and what is reported. */
#ifndef VMA_TEST_H
#define VMA_TEST_H

#include <asm/hwcap.h>
#include <sys/auxv.h>
#include <sys/wait.h>

#include "vcpu.h"

#define PATIENCE_MS 5000 	/* for a process to have run its guest, or to have ended */
#define CLEARING_MS 60000	/* the same where the kernel clears a page of 1 GiB meanwhile */
#define ENDING_MS 100		/* for a process that has closed its end of the pipe */
#define LOG_LINES 20		/* of the kernel's for one test */
#define NAME_SIZE 128
#define WARNING 4		/* the level of kernel messages up to which they are shown */

static struct {
	int kvm, log;
	struct account *account;
	bool answered;
	const char *only;	/* a pattern of tests; NULL: all */
	const char *after;	/* the test behind which to go on; NULL: at the first one */
	unsigned int number;
	char broken[96];	/* why a test could not be made; empty: it could */
} host;

static const char *missing(enum feature feature)
{
	if (feature == LSE && !(getauxval(AT_HWCAP) & HWCAP_ATOMICS))
		return "the CPU has no FEAT_LSE";
	if (feature == MTE && ioctl(host.kvm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_MTE) <= 0)
		return "KVM has no MTE for guests: KVM_CAP_ARM_MTE is 0";
	return NULL;
}

static void sleep_ms(long ms)
{
	nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000 }, NULL);
}

/* Whether `fd` becomes readable within `ms`. */
static bool readable(int fd, int ms)
{
	struct pollfd polled = { .fd = fd, .events = POLLIN };

	return poll(&polled, 1, ms) > 0;
}

/* Has the harness read the tables while the guest spins; `vmm`: also the VMM's own of that address. */
static bool audit(const char *test, size_t size, uintptr_t vmm)
{
	char told[256];
	size_t used = 0;
	ssize_t got;

	say("# s2eval: audit mapping=%s va=%#lx ipa=%#lx size=%#zx vmm=%#lx\n", test,
	    TESTED_IPA, TESTED_IPA, size, (unsigned long)vmm);
	while (used < sizeof(told) - 1 && readable(STDOUT_FILENO, PATIENCE_MS)) {
		got = read(STDOUT_FILENO, told + used, sizeof(told) - 1 - used);
		used += got > 0 ? got : 0;
		told[used] = '\0';
		if (strstr(told, "audited\n"))
			return true;
	}
	return false;
}

/* The kernel's messages since the last call, those of interest as diagnostic lines. */
static void report_log(bool show)
{
	char record[1024], *text;
	ssize_t got;
	int lines = 0;

	while ((got = read(host.log, record, sizeof(record) - 1)) > 0 ||
	       (got < 0 && errno == EPIPE)) {	/* EPIPE: some were overwritten */
		if (got < 0)
			continue;
		record[got] = '\0';
		text = strchr(record, ';');
		if (!show || !text || (atoi(record) & 7) > WARNING || ++lines > LOG_LINES)
			continue;
		text[strcspn(text, "\n")] = '\0';
		say("# log: %.400s\n", text + 1);
	}
}

/* Whether a process has ended by `patience_ms` from now. */
static bool has_ended(pid_t child, int *status, int patience_ms)
{
	for (int ms = 0; ms < patience_ms; ms++) {
		if (waitpid(child, status, WNOHANG) == child)
			return true;
		sleep_ms(1);
	}
	return false;
}

/* Ends a process; false when that cannot be done. */
static bool end_child(pid_t child, int *status)
{
	kill(child, SIGKILL);
	return has_ended(child, status, PATIENCE_MS);
}

static const char *errno_name(int number)
{
	const char *name = number ? strerrorname_np(number) : "0";

	return name ? name : "unknown";
}

static const char *ending_of(const struct mapping *mapping, const struct access *access,
			     const struct account *account)
{
	enum data data = holds_data(mapping) ? access->data : NOTHING;

	if (account->run)
		return "vm-killed";
	if (account->exit != KVM_EXIT_MMIO)
		return "exit";
	switch (account->address) {
	case REPORT_IPA + REPORT_DONE:
		if (data == LOADS && (account->loaded != FOUND || account->stale))
			return "wrong-value";
		if (data == STORES && account->after != STORED)
			return "wrong-value";
		return "works";
	case REPORT_IPA + REPORT_FAULT:
		return "faults";
	case REPORT_IPA + REPORT_OTHER:
		return "serror";
	}
	return "trapped";	/* the access itself went to the VMM */
}

/* A call of the test's own failed: nothing is said about the kernel. */
static void report_broken(const char *call, int error)
{
	snprintf(host.broken, sizeof(host.broken), "%s: %s", call, errno_name(error));
}

/* How the guest's run ended. */
static void report_run(const char *test, const struct mapping *mapping,
		       const struct access *access)
{
	const struct account *account = host.account;
	const char *outcome = account->slot ? "refused" : ending_of(mapping, access, account);

	say("# s2eval: vcpu test=%s outcome=%s memslot=%s run=%s exit=%u address=%#llx esr=%#llx "
	    "far=%#llx\n", test, outcome, account->slot ? errno_name(account->slot) : "accepted",
	    account->slot ? "none" : errno_name(account->run), account->exit,
	    (unsigned long long)account->address, (unsigned long long)account->esr,
	    (unsigned long long)account->far);
}

/* A process that did not come to its guest's end. */
static void report_death(const char *test, const char *outcome, const char *how)
{
	say("# vmm: %s, in %s\n", how, stage_names[host.account->stage]);
	say("# s2eval: vcpu test=%s outcome=%s memslot=unknown run=none exit=0 address=0 esr=0 "
	    "far=0\n", test, outcome);
}

static void report_status(const char *test, int status)
{
	char how[64];

	snprintf(how, sizeof(how), "the VMM ended with %s %d",
		 WIFSIGNALED(status) ? "signal" : "status",
		 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	report_death(test, "vmm-killed", how);
}

/* Runs a test in a process of its own, and reports how that ended. */
static void run_test(const char *test, const struct mapping *mapping, const struct access *access)
{
	int done[2], status = 0;
	int patience = mapping->size->bytes < GIGANTIC ? PATIENCE_MS : CLEARING_MS;
	bool told, ended;
	pid_t child;

	*host.account = (struct account){ .stage = STARTING };
	if (pipe(done) || (child = fork()) < 0)
		return report_broken("no process", errno);
	if (!child)
		run_child(mapping, access, host.kvm, host.account, done[1]);
	close(done[1]);
	/* Without a word: at the process's end, or not at all. */
	told = readable(done[0], patience) && read(done[0], &(char){ 0 }, 1) == 1;
	close(done[0]);
	if (told && host.account->stage == PARKED && host.answered &&
	    !audit(test, mapping->size->bytes, access->first ? host.account->memory : 0))
		say("# s2eval: error command=audit errno=ETIMEDOUT\n");
	if (!told && has_ended(child, &status, ENDING_MS))
		return report_status(test, status);
	ended = end_child(child, &status);
	if (!told)
		report_death(test, "vmm-hung", "the VMM has not come back");
	else if (!ended)
		report_death(test, "vmm-hung", "the VMM cannot be ended");
	else if (host.account->failed)
		report_broken(host.account->failed, host.account->error);
	else
		report_run(test, mapping, access);
}

static void report(const char *test, const char *directive, const char *reason)
{
	say("%sok %u %s%s%s\n", *host.broken ? "not " : "", ++host.number, test, directive, reason);
	host.broken[0] = '\0';
}

static void report_skip(const char *test, const char *reason)
{
	report(test, " # SKIP ", reason);
}

#endif /* VMA_TEST_H */
