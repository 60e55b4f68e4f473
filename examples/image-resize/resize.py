"""Makes an image smaller: base64 in, base64 out. Pillow comes in the package."""

import base64
import io

from PIL import Image


def handler(event, context):
    """Return the image as PNG, at most `width` pixels wide and `height` high, its proportions kept."""
    with Image.open(io.BytesIO(base64.b64decode(event["image"]))) as image:
        image.thumbnail((event.get("width", 128), event.get("height", 128)))
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        width, height = image.size
    return {"image": base64.b64encode(buffer.getvalue()).decode(), "width": width, "height": height}
