#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-only
# What host_lab.sh lets run in a lab: it never ends.
echo "step: about to hang"
echo "some output"
sleep 1000000
