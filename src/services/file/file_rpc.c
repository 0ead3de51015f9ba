/* Which handler answers which RPC. */
#include "services/file/file_internal.h"

const File__File_Service file_rpc_table = {
    .base = FILE__FILE__BASE_INIT,
    .get_capabilities = file_on_capabilities,
    .create_upload = file_on_create,
    .get_upload = file_on_get_upload,
    .write_upload = file_on_write,
    .delete_upload = file_on_delete_upload,
    .list_files = file_on_list,
    .get_info = file_on_info,
    .get_content = file_on_content,
    .get_thumbnail = file_on_thumbnail,
    .delete_file = file_on_delete,
    .claim = file_on_claim,
    .locate = file_on_locate,
};
