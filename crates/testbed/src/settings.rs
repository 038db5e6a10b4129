//! The settings of every test server, and their version.

/// Raise it with every change of what is below, and of how the template is made from it: other checkouts may be running their tests.
pub(crate) const SETTINGS_VERSION: u32 = 3;

/// Nothing here has to survive the machine; commits stay synchronous, so that a killed *server* loses nothing.
pub(crate) const SETTINGS: &str = "
# tenantry-testbed
fsync = off
full_page_writes = off
max_connections = 400
shared_buffers = 64MB
# The area may be in memory.
max_wal_size = 256MB
password_encryption = scram-sha-256
log_min_messages = warning
# In the data directory, where it goes with the server if that is killed.
dynamic_shared_memory_type = mmap
unix_socket_permissions = 0700
";

/// The order counts: the first line that fits is taken.
pub(crate) const SIGN_IN: &str = "\
local all all              scram-sha-256
host  all all 127.0.0.1/32 scram-sha-256
host  all all ::1/128      scram-sha-256
";
