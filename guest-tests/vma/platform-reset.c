// SPDX-License-Identifier: GPL-2.0-only
/*
 * A reset function for the board's pl031, so that vfio-amba takes it: until 6.1 that wants one even
 * where none is required (vfio_platform_init_common() in drivers/vfio/platform). It resets nothing,
 * as the clock has no state that matters here.
 */
#include <linux/list.h>
#include <linux/module.h>

#include "vma-memory.h"

#define COMPATIBLE "arm,pl031"

/* As in drivers/vfio/platform/vfio_platform_private.h, which is for vfio's own modules. */
struct vfio_platform_device;
typedef int (*vfio_platform_reset_fn_t)(struct vfio_platform_device *vdev);

struct vfio_platform_reset_node {
	struct list_head link;
	char *compat;
	struct module *owner;
	vfio_platform_reset_fn_t of_reset;
};

void __vfio_platform_register_reset(struct vfio_platform_reset_node *node);
void vfio_platform_unregister_reset(const char *compat, vfio_platform_reset_fn_t fn);

static bool registered;

static int reset(struct vfio_platform_device *vdev)
{
	return 0;
}

static struct vfio_platform_reset_node node = {
	.compat = COMPATIBLE,
	.owner = THIS_MODULE,
	.of_reset = reset,
};

/* By name, as most kernels have no vfio for devices of a board. */
void offer_platform_reset(void)
{
	typeof(&__vfio_platform_register_reset) offer = symbol_get(__vfio_platform_register_reset);

	if (!offer)
		return;
	offer(&node);	/* the symbol is put when it is withdrawn: vfio stays as long */
	registered = true;
}

void withdraw_platform_reset(void)
{
	typeof(&vfio_platform_unregister_reset) withdraw;

	if (!registered)
		return;
	withdraw = symbol_get(vfio_platform_unregister_reset);
	if (withdraw) {
		withdraw(COMPATIBLE, reset);
		symbol_put(vfio_platform_unregister_reset);
	}
	symbol_put(__vfio_platform_register_reset);
}
