"""PLANE. Container images: from registries and files to unpacked roots of functions and runtimes.

Owns: the directory `images/` of the data directory. Does: ask registries that a setting names, pull by digest, unpack
in processes without rights, merge, sweep. Never: runs anything of an image, mounts, or asks whom no setting names.
"""

from lambent.images.idleness import FunctionView
from lambent.images.plane import ImagePlane, ImagePlaneOptions
from lambent.images.routes import ImageAnswer, ImageRequest

__all__ = ["FunctionView", "ImageAnswer", "ImagePlane", "ImagePlaneOptions", "ImageRequest"]
