// SPDX-License-Identifier: GPL-2.0-only
/*
 * Real drivers on the device that was passed through: NVMe doing I/O with its submission
 * queues in the controller's memory buffer, and bochs drawing to its frame buffer.
 * Usage: drivers VVVV:DDDD BAR
 */
#define _GNU_SOURCE
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <drm/drm.h>
#include <drm/drm_mode.h>

#include <s2eval/user-pci.h>

#define DISK		"/dev/nvme0n1"
#define CMB		"/sys/class/nvme/nvme0/cmb"
#define CARD		"/dev/dri/card0"
#define NODE_SECONDS	5	/* until a driver has made its device node */
#define BLOCK		4096
#define BLOCKS		64	/* that are written and read, one command each */
#define COMMAND		64	/* bytes of a submission queue's entry */
#define MARKER		0x53380000	/* and the number of the test */
#define MARKER_END	0x00010000
#define CHECKED		(1 << 20)	/* bytes of the picture that the harness compares */

static struct pci pci;

static int open_node(const char *path)
{
	double end = seconds() + NODE_SECONDS;
	int fd;

	while ((fd = open(path, O_RDWR | O_DIRECT)) < 0 && errno != EINVAL && seconds() < end)
		usleep(1000);
	return fd < 0 ? open(path, O_RDWR) : fd;
}

static void fill(uint64_t *words, size_t size, uint64_t seed)
{
	for (size_t i = 0; i < size / 8; i++)
		words[i] = pattern_word(seed, i);
}

/* The driver has found the buffer: else it has no file that tells of it. */
static bool test_nvme_cmb(void)
{
	char text[256];
	int fd = open_node(DISK);

	if (fd < 0)
		return fail(DISK " did not come");
	close(fd);
	if (!read_text(CMB, text, sizeof(text)))
		return fail("the driver has not found the controller's memory buffer");
	text[strcspn(text, "\n")] = '\0';
	say("# %s\n", text);
	return true;
}

/* Each block has a pattern of its own; what is read has to come from the disk. */
static bool move_blocks(int fd, bool write_it)
{
	static uint64_t block[BLOCK / 8] __attribute__((aligned(BLOCK)));
	static uint64_t want[BLOCK / 8];

	for (int i = 0; i < BLOCKS; i++) {
		fill(want, BLOCK, (uint64_t)(i + 1) << 32);
		memcpy(block, want, BLOCK);
		if (!write_it)
			memset(block, 0, BLOCK);
		if (write_it && pwrite(fd, block, BLOCK, i * BLOCK) != BLOCK)
			return fail("block %d cannot be written: %s", i, strerror(errno));
		if (!write_it && pread(fd, block, BLOCK, i * BLOCK) != BLOCK)
			return fail("block %d cannot be read: %s", i, strerror(errno));
		if (memcmp(block, want, BLOCK))
			return fail("block %d is not what was written", i);
	}
	return true;
}

/*
 * The markers go to the last page of the buffer, which the driver's queues do not need.
 * In between each command must reach the device through the buffer.
 */
static bool traced_io(const char *name, int number, bool write_it)
{
	char *bar = pci_map(&pci, "", pci.size);
	size_t at = pci.size - BLOCK;
	int fd = open_node(DISK);
	bool moved;

	if (!bar || fd < 0)
		return fail("no " DISK ", or its BAR cannot be mapped");
	say("# s2eval: trace test=%s marker=%#x at=%#zx kind=write offset=0 size=0 most=0 least=%d\n",
	    name, MARKER + number, at, BLOCKS * COMMAND / 8);
	*(volatile uint32_t *)(bar + at) = MARKER + number;
	moved = move_blocks(fd, write_it) && (!write_it || !fsync(fd));
	finish_stores();
	*(volatile uint32_t *)(bar + at) = (MARKER + number) | MARKER_END;
	munmap(bar, pci.size);
	close(fd);
	return moved;
}

static bool test_nvme_write(void)
{
	return traced_io("nvme_write", 1, true);
}

static bool test_nvme_read(void)
{
	return traced_io("nvme_read", 2, false);
}

/* A frame buffer, mapped as the driver maps it for programs. */
struct screen {
	int fd;
	struct drm_mode_create_dumb dumb;
	uint32_t *pixels;
};

static bool open_screen(struct screen *screen, const struct drm_mode_modeinfo *mode)
{
	struct drm_mode_map_dumb map = {};

	screen->dumb.width = mode->hdisplay;
	screen->dumb.height = mode->vdisplay;
	screen->dumb.bpp = 32;
	if (ioctl(screen->fd, DRM_IOCTL_MODE_CREATE_DUMB, &screen->dumb))
		return fail("no buffer: %s", strerror(errno));
	map.handle = screen->dumb.handle;
	if (ioctl(screen->fd, DRM_IOCTL_MODE_MAP_DUMB, &map))
		return fail("the buffer has no place: %s", strerror(errno));
	screen->pixels = mmap(NULL, screen->dumb.size, PROT_READ | PROT_WRITE, MAP_SHARED,
			      screen->fd, map.offset);
	return screen->pixels != MAP_FAILED || fail("the buffer cannot be mapped: %s",
						    strerror(errno));
}

/* The first output that there is, with its first mode. */
static bool find_output(int fd, uint32_t *crtc, uint32_t *connector,
			struct drm_mode_modeinfo *mode)
{
	static uint32_t crtcs[8], connectors[8];
	static struct drm_mode_modeinfo modes[64];
	struct drm_mode_card_res card = {
		.crtc_id_ptr = (uintptr_t)crtcs, .count_crtcs = ARRAY_SIZE(crtcs),
		.connector_id_ptr = (uintptr_t)connectors, .count_connectors = ARRAY_SIZE(connectors),
	};
	struct drm_mode_get_connector one = {};

	if (ioctl(fd, DRM_IOCTL_MODE_GETRESOURCES, &card) || !card.count_crtcs ||
	    !card.count_connectors)
		return fail("the card has no output");
	one.connector_id = connectors[0];
	if (ioctl(fd, DRM_IOCTL_MODE_GETCONNECTOR, &one) || !one.count_modes ||
	    one.count_modes > ARRAY_SIZE(modes))
		return fail("the output has no mode");
	one = (struct drm_mode_get_connector) {
		.connector_id = connectors[0],
		.modes_ptr = (uintptr_t)modes, .count_modes = one.count_modes,
	};
	if (ioctl(fd, DRM_IOCTL_MODE_GETCONNECTOR, &one))
		return fail("the output has no mode");
	*crtc = crtcs[0];
	*connector = connectors[0];
	*mode = modes[0];
	return true;
}

static bool show(struct screen *screen, uint32_t crtc, uint32_t connector,
		 struct drm_mode_modeinfo *mode)
{
	struct drm_mode_fb_cmd buffer = {
		.width = screen->dumb.width, .height = screen->dumb.height,
		.pitch = screen->dumb.pitch, .bpp = 32, .depth = 24, .handle = screen->dumb.handle,
	};
	struct drm_mode_crtc set = {
		.set_connectors_ptr = (uintptr_t)&connector, .count_connectors = 1,
		.crtc_id = crtc, .mode = *mode, .mode_valid = 1,
	};

	if (ioctl(screen->fd, DRM_IOCTL_MODE_ADDFB, &buffer))
		return fail("no frame buffer: %s", strerror(errno));
	set.fb_id = buffer.fb_id;
	return !ioctl(screen->fd, DRM_IOCTL_MODE_SETCRTC, &set) ||
	       fail("the mode cannot be set: %s", strerror(errno));
}

/* Pixel i is bytes 3i to 3i + 2 of the pattern: red, green, blue, as in a screen dump. */
static void draw(struct screen *screen, uint64_t seed)
{
	size_t size = screen->dumb.width * screen->dumb.height * 3;
	uint8_t *bytes = malloc(size + 8);

	for (size_t i = 0; i * 8 < size; i++) {
		uint64_t word = pattern_word(seed, i);

		memcpy(bytes + 8 * i, &word, 8);
	}
	for (size_t i = 0; i < size / 3; i++)
		screen->pixels[i] = bytes[3 * i] << 16 | bytes[3 * i + 1] << 8 | bytes[3 * i + 2];
	free(bytes);
}

/* Where in the BAR the picture is, the driver is free to choose; -1 when it is nowhere. */
static long find_picture(const struct screen *screen, const char *bar)
{
	for (size_t at = 0; at + screen->dumb.size <= pci.size; at += BLOCK)
		if (!memcmp(bar + at, screen->pixels, screen->dumb.size))
			return at;
	return -1;
}

/*
 * Whether the program draws into video memory itself. Newer drivers give it ordinary memory
 * and copy that: then the mapping to look at is the kernel's, of which a program knows nothing.
 */
static bool is_direct(struct screen *screen, const char *there)
{
	uint32_t pixel = screen->pixels[0];
	bool direct;

	screen->pixels[0] = ~pixel;
	finish_stores();
	direct = *(volatile uint32_t *)there == ~pixel;
	screen->pixels[0] = pixel;
	finish_stores();
	return direct;
}

/* The BAR by resourceN holds the picture; the harness sees it on the screen and in the tables. */
static bool check_picture(struct screen *screen)
{
	char *bar = pci_map(&pci, "", pci.size), line[160], told[256];
	long at = bar ? find_picture(screen, bar) : -1;

	if (at < 0)
		return fail("the video memory does not hold what was drawn");
	say("# s2eval: expect test=bochs_draw offset=0 size=%d seed=1\n", CHECKED);
	if (!is_direct(screen, bar + at)) {
		saw("bochs_draw", "copied");
		return true;
	}
	saw("bochs_draw", "direct");
	snprintf(line, sizeof(line), "# s2eval: audit mapping=framebuffer va=%#lx ipa=%#llx size=%#llx",
		 (unsigned long)screen->pixels, (unsigned long long)pci.start + at,
		 (unsigned long long)screen->dumb.size);
	return !is_answered() || ask(line, "audited\n", told, sizeof(told)) ||
	       fail("nobody answered");
}

static bool test_bochs_draw(void)
{
	struct screen screen = { .fd = open_node(CARD) };
	struct drm_mode_modeinfo mode;
	uint32_t crtc = 0, connector = 0;

	if (screen.fd < 0)
		return fail(CARD " did not come");
	if (!find_output(screen.fd, &crtc, &connector, &mode) || !open_screen(&screen, &mode))
		return false;
	draw(&screen, 1);
	if (!show(&screen, crtc, connector, &mode))
		return false;
	finish_stores();
	return check_picture(&screen);
}

static const struct test nvme_tests[] = {
	{ "nvme_cmb", test_nvme_cmb },
	{ "nvme_write", test_nvme_write },
	{ "nvme_read", test_nvme_read },
};

static const struct test bochs_tests[] = {
	{ "bochs_draw", test_bochs_draw },
};

int main(int argc, char **argv)
{
	if (argc < 3 || !pci_find(&pci, argv[1], atoi(argv[2])))
		return 1;
	if (pci_is(&pci, 0x1b36, 0x0010))
		run_tests(nvme_tests, ARRAY_SIZE(nvme_tests), NULL);
	else
		run_tests(bochs_tests, ARRAY_SIZE(bochs_tests), NULL);
	return 0;
}
