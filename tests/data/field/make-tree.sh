#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Makes a toy kernel tree with awkward branches: make-tree.sh DIR. The samples apply to its branch main.
set -eu
[ $# = 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
export GIT_AUTHOR_NAME=Dev GIT_AUTHOR_EMAIL=dev@localhost GIT_COMMITTER_NAME=Dev GIT_COMMITTER_EMAIL=dev@localhost
export GIT_CONFIG_GLOBAL=/dev/null
mkdir -p "$1/arch/arm64/kvm" "$1/virt/kvm" "$1/Documentation"
cd "$1"
git init -q -b main
printf 'VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 0\nEXTRAVERSION =\nNAME = X\n' > Makefile
echo 'config X' > arch/arm64/Kconfig
seq 1 60 | sed 's/^/line /' > arch/arm64/kvm/mmu.c
seq 1 60 | sed 's/^/virt /' > virt/kvm/kvm_main.c
printf 'one\r\ntwo\r\nthree\r\nfour\r\nfive\r\n' > Documentation/dos.txt
printf 'caf\351\nline two\nline three\nline four\nline five\n' > Documentation/latin1.txt
printf 'a\n-- /dev/kvm is the device\n-- ../include\nb\nc\nd\ne\n' > Documentation/dash.txt
git add -A && git commit -qm base

edit() { sed -i "s/^line $1\$/line $2/" arch/arm64/kvm/mmu.c; }
branch() { git checkout -q -f main && git checkout -q -b "$1"; }

branch b4/topic # as `b4 prep` makes one: the cover letter is an empty commit
git commit -q --allow-empty -m 'EDITME: KVM: arm64: cover title

# Describe the purpose of this series.

--- b4-submit-tracking ---
{ "series": { "revision": 1, "change-id": "20240101-topic-abcdef012345", "prefixes": [] } }'
edit 10 ten; git commit -qam 'KVM: one'; edit 40 forty; git commit -qam 'KVM: two'

branch diff-in-message
edit 10 ten
git commit -qa -F - <<'M'
KVM: one

Found with this debug change, which is not part of it:

diff --git a/virt/kvm/kvm_main.c b/virt/kvm/kvm_main.c
--- a/virt/kvm/kvm_main.c
+++ b/virt/kvm/kvm_main.c
@@ -7,7 +7,7 @@
 virt 7
 virt 8
 virt 9
-virt 10
+virt DEBUG
 virt 11
 virt 12
 virt 13
M

branch latin1
printf 'caf\351\nline two\nline 3\nline four\nline five\n' > Documentation/latin1.txt; git commit -qam 'docs: near a Latin-1 line'

branch numbers-in-subject
edit 10 ten; git commit -qam 'KVM: one'; edit 40 forty; git commit -qam '[v3] KVM: two'
edit 25 xxv; git commit -qam 'KVM: three'
git checkout -q -f main
git checkout -q -b history
for i in 1 2 3; do sed -i "s/^line 30.*\$/line 30 r$i/" arch/arm64/kvm/mmu.c; git commit -qam "step $i"; done
git checkout -q main
