/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files stand in \bulkhead\ on the volume the loader came from, or in one cpio
 * archive named "initrd" there: QEMU's -kernel and -initrd offer such a volume.
 */
#include "loader.h"

#include <string.h>

#include "cpio.h"

#define FOLDER "\\bulkhead\\"
#define BLOB "initrd"
#define PATH_MAX_CHARS (sizeof(FOLDER) + MANIFEST_FILE_MAX + 1)

static EFI_GUID loaded_image_guid = EFI_LOADED_IMAGE_PROTOCOL_GUID;
static EFI_GUID file_system_guid = EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID;

enum bh_error files_open(struct loader *l)
{
	EFI_LOADED_IMAGE_PROTOCOL *image = NULL;
	EFI_FILE_IO_INTERFACE *volume = NULL;
	EFI_STATUS status =
		l->services->HandleProtocol(l->self, &loaded_image_guid, (void **)&image);

	if (!EFI_ERROR(status))
		status = l->services->HandleProtocol(image->DeviceHandle, &file_system_guid,
						     (void **)&volume);
	if (!EFI_ERROR(status))
		status = volume->OpenVolume(volume, &l->volume);
	if (EFI_ERROR(status))
		return firmware_failed(l, "opening the volume that bulkhead.efi came from", status);
	return BH_OK;
}

void files_close(struct loader *l)
{
	if (l->volume != NULL)
		l->volume->Close(l->volume);
	l->volume = NULL;
}

/*
 * Opens @folder@name; false when it is not there (or cannot be opened, which looks the same to
 * the user).
 */
static bool open_file(struct loader *l, const char *folder, const char *name, EFI_FILE_HANDLE *file)
{
	CHAR16 path[PATH_MAX_CHARS];
	size_t n = 0;

	for (const char *c = folder; *c != '\0'; c++)
		path[n++] = (CHAR16)*c;
	for (const char *c = name; *c != '\0' && n < PATH_MAX_CHARS - 1; c++)
		path[n++] = (CHAR16)*c;
	path[n] = '\0';
	return !EFI_ERROR(l->volume->Open(l->volume, file, path, EFI_FILE_MODE_READ, 0));
}

/* UEFI 2.10 13.5.10: position UINT64_MAX is the end of the file. */
static bool file_size(EFI_FILE_HANDLE file, uint64_t *size)
{
	return !EFI_ERROR(file->SetPosition(file, UINT64_MAX)) &&
	       !EFI_ERROR(file->GetPosition(file, size)) && !EFI_ERROR(file->SetPosition(file, 0));
}

static bool read_all(EFI_FILE_HANDLE file, uint8_t *to, uint64_t size)
{
	while (size != 0) {
		UINTN n = size;

		if (EFI_ERROR(file->Read(file, &n, to)) || n == 0 || n > size)
			return false;
		to += n;
		size -= n;
	}
	return true;
}

static enum bh_error read_file(struct loader *l, EFI_FILE_HANDLE file, const char *name,
			       struct extent *extent, uint64_t *size)
{
	enum bh_error error;

	if (!file_size(file, size))
		return bh_fail(&l->report, BH_NO_IMAGE, "file %s is unreadable", name);
	/* An empty file still gets a page: what is wrong with it is for others to say. */
	error = pages_take(l, EfiLoaderData, *size == 0 ? 1 : *size, PAGE_SIZE, extent);
	if (error == BH_OK && !read_all(file, pa_to_ptr(extent->base), *size))
		return bh_fail(&l->report, BH_NO_IMAGE, "file %s is unreadable", name);
	return error;
}

static enum bh_error no_blob(struct loader *l, const char *name)
{
	return bh_fail(&l->report, BH_NO_IMAGE,
		       "file %s%s is not on the volume, nor is there an initrd blob", FOLDER, name);
}

/* Reads the archive, the first time a file is not found on the volume. */
static enum bh_error need_blob(struct loader *l, const char *name)
{
	struct extent extent;
	EFI_FILE_HANDLE file = NULL;
	enum bh_error error;

	if (l->blob != NULL)
		return BH_OK;
	if (!open_file(l, "", BLOB, &file))
		return no_blob(l, name);
	error = read_file(l, file, BLOB, &extent, &l->blob_size);
	file->Close(file);
	if (error != BH_OK)
		return error;
	if (l->blob_size == 0) /* QEMU's -kernel without -initrd */
		return no_blob(l, name);
	l->blob = pa_to_ptr(extent.base);
	return BH_OK;
}

static enum bh_error read_from_blob(struct loader *l, const char *name, struct extent *extent,
				    uint64_t *size)
{
	const void *data;
	enum bh_error error = need_blob(l, name);

	if (error == BH_OK)
		error = cpio_find(l->blob, l->blob_size, name, &data, size, &l->report);
	if (error == BH_OK)
		error = pages_take(l, EfiLoaderData, *size == 0 ? 1 : *size, PAGE_SIZE, extent);
	if (error == BH_OK)
		memcpy(pa_to_ptr(extent->base), data, *size);
	return error;
}

enum bh_error files_read(struct loader *l, const char *name, struct extent *extent, uint64_t *size)
{
	EFI_FILE_HANDLE file = NULL;
	enum bh_error error;

	if (!open_file(l, FOLDER, name, &file))
		return read_from_blob(l, name, extent, size);
	error = read_file(l, file, name, extent, size);
	file->Close(file);
	return error;
}
