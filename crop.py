import sys

from PIL import Image

n, x0, y0, x1, y1 = sys.argv[1], *map(int, sys.argv[2:6])
Image.open(f"/tmp/boxpages/{n}.png").crop((x0, y0, x1, y1)).save("/tmp/boxpages/crop.png")
