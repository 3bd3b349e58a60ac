/* SPDX-License-Identifier: LGPL-2.1-only */
#include <unistd.h>
int main(void) { for (;;) pause(); }
