/* SPDX-License-Identifier: Apache-2.0 */
#include "net/drop.h"

const char *
net_drop_name(enum net_drop drop)
{
	static const char *const names[NET_DROP_COUNT] = { [NET_DROP_NONE] = "",
#define X(identifier, word) [NET_DROP_##identifier] = word,
		NET_DROP_TABLE(X)
#undef X
	};

	return (unsigned)drop < NET_DROP_COUNT ? names[drop] : "?";
}
