/* SPDX-License-Identifier: Apache-2.0 */
#include "base/version.h"

const struct versions base_versions = { .min = VERSION_FIRST, .max = 1 };
