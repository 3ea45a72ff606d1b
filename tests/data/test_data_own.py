"""Data of the user: what arrays and image folders may be, and what is said of them."""

import numpy as np
import pytest
from PIL import Image

from tfq import choices, data
from tfq.data import names

# Of NumPy and PIL alone.
pytestmark = [pytest.mark.keras3_only, pytest.mark.tensorflow_only]

COUNT = 12
PIXELS = np.random.default_rng(0).integers(0, 256, (COUNT, 5, 6, 3)).astype("uint8")
CLASSES = np.arange(COUNT) % 3


def load(tmp_path, **arrays):
    """The data set of these arrays, and the lines that it says."""
    path, lines = tmp_path / "mine.npz", []
    whole = {"x_train": PIXELS, "y_train": CLASSES, "x_test": PIXELS[:6], "y_test": CLASSES[:6]} | arrays
    np.savez(path, **whole)
    made = data.load("npz", str(path), lines.append)
    return made, [line.replace(f"{path}: ", "") for line in lines]


def error_of(tmp_path, **arrays):
    with pytest.raises(data.DataError) as caught:
        load(tmp_path, **arrays)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{tmp_path / 'mine.npz'}: ")
    return message


# --- labels


@pytest.mark.parametrize(
    "made",
    [
        lambda y: y[:, None],
        lambda y: y.astype("float32"),
        lambda y: y.astype("float16")[:, None],
        lambda y: y.astype("uint64"),
        lambda y: np.eye(3)[y],
        lambda y: np.eye(3, dtype=bool)[y],
        lambda y: np.eye(3, dtype="int64")[y],
    ],
    ids=["column", "float", "half column", "uint64", "one-hot", "one-hot bool", "one-hot int"],
)
def test_labels_in_any_form_are_the_same_classes(tmp_path, made):
    found, lines = load(tmp_path, y_train=made(CLASSES), y_test=made(CLASSES[:6]))
    np.testing.assert_array_equal(found.y_train, CLASSES)
    np.testing.assert_array_equal(found.y_test, CLASSES[:6])
    assert found.y_train.dtype == np.int32
    assert (found.num_classes, lines) == (3, [])


def test_boolean_labels_are_two_classes(tmp_path):
    found, lines = load(tmp_path, y_train=CLASSES > 0, y_test=CLASSES[:6] > 0)
    np.testing.assert_array_equal(found.y_train, CLASSES > 0)
    assert (found.num_classes, lines) == (2, [])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (CLASSES + 0.5, "y_train must be whole numbers from 0 to 1048575; got 0.5"),
        (np.where(CLASSES == 1, np.nan, CLASSES), "y_train must be whole numbers from 0 to 1048575; got nan"),
        (CLASSES + 2**31, "y_train must be whole numbers from 0 to 1048575; got 2.14748e+09"),
        # Memory for each class would be 8 GB.
        (10**9 * CLASSES, "got 1e+09; of other numbers, np.unique(y, return_inverse=True) makes classes"),
        (np.full((COUNT, 3), 1 / 3), "must have a single 1 a row, and 0 else; row 0 has not"),
        (np.eye(3)[CLASSES] - np.eye(3)[CLASSES - 1], "give y_train.argmax(axis=1)"),
        (np.array(["cat", "dog"])[CLASSES % 2], "np.unique(y, return_inverse=True) makes classes"),
        (CLASSES[:5], f"y_train must be {COUNT} labels"),
    ],
)
def test_labels_that_are_no_classes_are_refused(tmp_path, labels, message):
    assert message in error_of(tmp_path, y_train=labels)


@pytest.mark.parametrize(
    ("y_train", "y_test", "num_classes", "said"),
    [
        (
            CLASSES + 1,
            CLASSES[:6] + 1,
            4,
            "WARNING: npz: class 0 has no images; the network gets an output for each of 0 to 3 all the same; if labels are "
            "meant to begin at 1, subtract 1 from them",
        ),
        (
            2 * CLASSES,
            2 * CLASSES[:6],
            5,
            "WARNING: npz: each of the classes 1, 3 has no images; the network gets an output for each of 0 to 4 all the same",
        ),
        (
            CLASSES,
            CLASSES[:6] + 1,
            4,
            "WARNING: npz: class 3 has test images, but no training image: it cannot be learnt",
        ),
        (CLASSES, CLASSES[:6] % 2, 3, "WARNING: npz: class 2 has training images, but no test image: it is not tested"),
        (0 * CLASSES, 0 * CLASSES[:6], 1, "WARNING: npz: all images are of one class: there is nothing to learn"),
    ],
    ids=["from 1", "gaps", "test alone", "training alone", "one"],
)
def test_classes_without_images_are_said_and_labels_stay(tmp_path, y_train, y_test, num_classes, said):
    found, lines = load(tmp_path, y_train=y_train, y_test=y_test)
    np.testing.assert_array_equal(found.y_train, y_train)
    np.testing.assert_array_equal(found.y_test, y_test)
    assert found.num_classes == num_classes
    assert said in lines


def test_many_classes_without_images_are_one_line(tmp_path):
    lines = load(tmp_path, y_train=100 * CLASSES, y_test=100 * CLASSES[:6])[1]
    assert len(lines) == 1
    assert "1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 188 more has no images" in lines[0]


# --- images


def same_pixels(tmp_path, x_train, x_test):
    found, lines = load(tmp_path, x_train=x_train, x_test=x_test)
    np.testing.assert_array_equal(found.x_train, PIXELS)
    np.testing.assert_array_equal(found.x_test, PIXELS[:6])
    assert found.x_train.dtype == found.x_test.dtype == np.uint8
    return lines


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_floats_from_0_to_1_that_were_8_bits_are_those(tmp_path, dtype):
    x = (PIXELS / 255).astype(dtype)
    lines = same_pixels(tmp_path, x, x[:6])
    assert lines == [f"{name} is {dtype}, from 0 to 1; taken as 8 bits, times 255" for name in ("x_train", "x_test")]


@pytest.mark.parametrize("dtype", ["float32", "uint16", "int64"])
def test_whole_numbers_to_255_are_8_bits_whatever_their_type(tmp_path, dtype):
    x = PIXELS.astype(dtype)
    # Dark test images stay on the scale of the training's.
    dark = np.minimum(x[:6], 1)
    found, lines = load(tmp_path, x_train=x, x_test=dark)
    np.testing.assert_array_equal(found.x_train, PIXELS)
    np.testing.assert_array_equal(found.x_test, dark)
    assert lines[0] == f"x_train is {dtype}, from 0 to 255; taken as 8 bits, as they are"


def test_16_bits_that_were_8_are_those(tmp_path):
    x = PIXELS.astype("uint16") * 257
    assert same_pixels(tmp_path, x, x[:6])[0] == "x_train is uint16, from 0 to 65535; taken as 8 bits, divided by 257"


def test_images_of_bits_are_black_and_white(tmp_path):
    found, _ = load(tmp_path, x_train=PIXELS > 99, x_test=PIXELS[:6] > 99)
    np.testing.assert_array_equal(found.x_train, np.where(PIXELS > 99, 255, 0))


def test_grey_images_get_a_channel(tmp_path):
    found, lines = load(tmp_path, x_train=PIXELS[..., 0], x_test=PIXELS[:6, ..., 0])
    np.testing.assert_array_equal(found.x_train, PIXELS[..., :1])
    assert str(found).endswith("12 training and 6 test images of 5 x 6 x 1 (height x width x channels), 3 classes")
    assert lines == []


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (PIXELS / 254.3, "got float64 from 0 to 1.00275"),
        (
            PIXELS / 300,
            "which are not 256 levels from 0 that training and test images share: give np.rint(x * 255).astype(np.uint8)",
        ),
        (PIXELS / 128 - 1, "bring both to [0, 1] by the same two numbers, then give np.rint(x * 255)"),
        (np.where(PIXELS == 7, np.nan, PIXELS), "got float64 with values that are not finite"),
        (PIXELS.astype("uint16") * 256, "give (x >> 8).astype(np.uint8) of both, which keeps the upper 8 of 16 bits"),
        (PIXELS.astype("uint16") * 16, "give (x >> 4).astype(np.uint8) of both, which keeps the upper 8 of 12 bits"),
        (PIXELS.astype("int16") - 1, "x_train must be images of 8 bits; got int16 from -1 to 254"),
        (PIXELS.astype("complex64"), "x_train must be images of numbers; got complex64"),
        (np.zeros((COUNT, 3, 5, 6), "uint8"), "whose channels seem to come first: give x_train.transpose(0, 2, 3, 1)"),
        (PIXELS[:0], "at least one; got (0, 5, 6, 3)"),
    ],
)
def test_images_that_would_be_rounded_are_refused_with_the_way_out(tmp_path, x, message):
    assert message in error_of(tmp_path, x_train=x)


def test_training_and_test_images_on_two_scales_are_refused(tmp_path):
    message = error_of(tmp_path, x_train=(PIXELS / 255).astype("float32"), x_test=PIXELS[:6].astype("float32"))
    assert "x_train must be images of 8 bits; got float32 from 0 to 1" in message


@pytest.mark.parametrize(("train", "test"), [("float32", "uint8"), ("uint8", "float64"), ("bool", "int64")])
def test_black_and_white_of_two_types_is_refused(tmp_path, train, test):
    bits = PIXELS > 127
    message = error_of(tmp_path, x_train=bits.astype(train), x_test=bits[:6].astype(test))
    assert "both from 0 to 1, which would be 255 in the one and 1 in the other" in message


# --- names of classes


def test_names_in_the_file_are_those_of_the_classes(tmp_path):
    found, lines = load(tmp_path, labels=np.array(["cat", "dog", "ship"]))
    assert (found.labels, found.num_classes, lines) == (("cat", "dog", "ship"), 3, [])
    assert load(tmp_path)[0].labels == ()


def test_a_name_more_is_a_class_without_images(tmp_path):
    found, lines = load(tmp_path, labels=np.array(["cat", "dog", "ship", b"k\xc3\xa4se".decode()]))
    assert found.num_classes == 4
    assert lines[0].startswith("WARNING: npz: class 3 (käse) has no images")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["cat", "dog"], "labels names 2 classes, but y_train and y_test have 3"),
        (["cat", "", "ship"], "labels: the name of class 1 must be a line of 1 to 500 characters; got ''"),
        (["cat", "a\nb", "ship"], r"got 'a\nb'"),
        ([1, 2, 3], "labels must be the names of the classes, texts (classes,); got int64 (3,)"),
        ([b"\xff", b"a", b"b"], "labels must be text in UTF-8"),
    ],
)
def test_names_that_do_not_fit_are_refused(tmp_path, labels, message):
    assert message in error_of(tmp_path, labels=np.array(labels))


def test_names_of_the_flag_win(tmp_path):
    file = tmp_path / "names.txt"
    file.write_text("\ufeffone\ntwo\nthree\n", encoding="utf-8")
    load(tmp_path, labels=np.array(["cat", "dog", "ship"]))
    for text, expected in ((str(file), ("one", "two", "three")), ("a, b,c", ("a", "b", "c"))):
        flags = {"dataset": "npz", "data_dir": str(tmp_path / "mine.npz"), "labels": text}
        assert data.of_flags(flags).labels == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b", "--labels names 2 classes; npz from .*mine.npz has 3"),
        ("a,,c", "--labels: the name of class 1 must be a line"),
        ("nowhere.txt", "--labels=nowhere.txt is neither a file"),
    ],
)
def test_names_of_the_flag_that_do_not_fit_are_refused(tmp_path, text, message):
    load(tmp_path)
    with pytest.raises(data.DataError, match=message):
        data.load("npz", str(tmp_path / "mine.npz"), labels=text)


def test_data_sets_of_our_own_bring_their_names():
    assert {name: len(known) for name, known in names.KNOWN.items()} == {
        "cifar10": 10,
        "cifar100": 100,
        "digits": 10,
        "mnist": 10,
    }
    # The order of cifar-10's batches.meta and of cifar-100's meta, at the places that others print.
    assert names.KNOWN["cifar10"][3] == "cat"
    assert [names.KNOWN["cifar100"][index] for index in (0, 19, 42, 49, 71, 99)] == [
        "apple",
        "cattle",
        "leopard",
        "mountain",
        "sea",
        "worm",
    ]
    assert list(names.KNOWN["cifar100"]) == sorted({*names.KNOWN["cifar100"]})
    assert data.load("digits").labels == tuple("0123456789")


# --- image folders


def draw(path, value, size=(6, 5), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, 20, 30)).convert(mode).save(path)


def fold(root, **options):
    lines = []
    return data.load("folder", str(root), lines.append, **options), [line.replace(str(root), "DIR") for line in lines]


def test_a_folder_with_parts_is_a_data_set(tmp_path):
    for number, (part, label) in enumerate([("train", "dog"), ("train", "cat"), ("test", "cat"), ("test", "dog")]):
        for value in (0, 100):
            draw(tmp_path / part / label / f"{value}.png", value + number)
    found, lines = fold(tmp_path)
    assert (found.labels, found.num_classes, found.flip, lines) == (("cat", "dog"), 2, False, [])
    np.testing.assert_array_equal(found.y_train, [0, 0, 1, 1])
    np.testing.assert_array_equal(found.x_train[:, 0, 0], [[1, 20, 30], [101, 20, 30], [0, 20, 30], [100, 20, 30]])
    np.testing.assert_array_equal(found.x_test[:, 0, 0, 0], [2, 102, 3, 103])
    assert found.x_train.shape[1:] == (5, 6, 3)
    (tmp_path / "test").rename(tmp_path / "val")
    np.testing.assert_array_equal(fold(tmp_path)[0].x_test, found.x_test)


def test_a_folder_without_parts_is_split_by_the_names_of_its_files(tmp_path):
    for index in range(11):
        draw(tmp_path / "train" / f"{index}.png", index)  # a class may be called so
    for index in range(3):
        draw(tmp_path / "car" / f"{index}.png", 100 + index)
    found, lines = fold(tmp_path)
    assert (found.labels, lines) == (("car", "train"), [])
    # A fifth of each class, one at least; the same on every machine and in every release.
    np.testing.assert_array_equal(found.y_test, [0, 1, 1])
    np.testing.assert_array_equal(found.x_test[:, 0, 0, 0], [100, 0, 6])
    together = np.concatenate([found.x_train, found.x_test])[:, 0, 0, 0]
    np.testing.assert_array_equal(np.sort(together), [*range(11), 100, 101, 102])


def test_what_is_no_picture_is_left_out_and_named(tmp_path):
    for index in range(4):
        draw(tmp_path / "cat" / f"{index}.png", index)
        draw(tmp_path / "dog" / f"{index}.png", index)
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / ".hidden").write_text("mine")
    (tmp_path / "cat" / "notes.txt").write_text("mine")
    (tmp_path / "cat" / "bad.png").write_bytes(b"no picture")
    draw(tmp_path / "cat" / "cut.bmp", 0)
    (tmp_path / "cat" / "cut.bmp").write_bytes((tmp_path / "cat" / "cut.bmp").read_bytes()[:80])
    Image.new("I;16", (6, 5)).save(tmp_path / "cat" / "deep.png")
    draw(tmp_path / "dog" / "glass.png", 9, mode="RGBA")
    found, lines = fold(tmp_path)
    assert len(found.x_train) + len(found.x_test) == 9
    text = "\n".join(lines)
    assert "DIR: left out, no folder of a class: DIR/notes.txt" in text
    assert "DIR/cat: left out, no image by their ending: DIR/cat/notes.txt" in text
    assert "DIR/cat/bad.png cannot be read: cannot identify image file" in text
    assert "DIR/cat/cut.bmp cannot be read: image file is truncated" in text
    assert "DIR/cat/deep.png its pixels are of kind I;16; expected 8 bits a channel" in text
    assert "transparency is left out, and colours are taken as they are stored, of: DIR/dog/glass.png" in text
    assert ".hidden" not in text


def test_grey_pictures_have_one_channel_until_one_has_colours(tmp_path):
    for label in ("cat", "dog"):
        for index in range(2):
            draw(tmp_path / label / f"{index}.png", index, mode="L")
    assert fold(tmp_path)[0].x_train.shape[1:] == (5, 6, 1)
    draw(tmp_path / "dog" / "colour.png", 200)
    assert fold(tmp_path)[0].x_train.shape[1:] == (5, 6, 3)


def test_pictures_of_two_sizes_need_one(tmp_path):
    draw(tmp_path / "cat" / "a.png", 0)
    draw(tmp_path / "cat" / "b.png", 0)
    draw(tmp_path / "dog" / "c.png", 0, size=(7, 5))
    draw(tmp_path / "dog" / "d.png", 0, size=(7, 5))
    with pytest.raises(data.DataError, match=r"dog/[cd].png is 7 x 5 pixels, .*cat/[ab].png is 6 x 5; --image_size=5x6 \(height"):
        fold(tmp_path)
    assert fold(tmp_path, image_size="8x4")[0].x_train.shape == (2, 8, 4, 3)
    assert fold(tmp_path, image_size="8")[0].x_test.shape == (2, 8, 8, 3)


def test_a_picture_on_its_side_has_the_size_of_the_upright_one(tmp_path):
    for index in range(2):
        draw(tmp_path / "cat" / f"{index}.png", index)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (5, 6)).save(tmp_path / "cat" / "turned.jpg", exif=exif)
    assert fold(tmp_path)[0].x_train.shape[1:] == (5, 6, 3)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "has no images in folders of their class"),
        (["a.png"], "has no images in folders of their class"),
        (["cat/a.png"], r"has no images to test on: none in DIR/test/CLASS/, or too few in DIR/CLASS/"),
        (["train/cat/a.png"], "has train/ with classes in it, but neither test/ nor val/"),
        (["test/cat/a.png"], "has test/ with classes in it, but no train/"),
    ],
)
def test_a_folder_that_is_no_data_set(tmp_path, files, message):
    for file in files:
        draw(tmp_path / file, 0)
    with pytest.raises(data.DataError, match=message):
        fold(tmp_path)


def test_a_folder_that_is_none():
    for given in (None, "nowhere"):
        with pytest.raises(data.DataError, match=rf"{given} must be a folder of image files: DIR/train/CLASS/"):
            data.load("folder", given)


def test_sizes_are_for_folders_and_sensible(tmp_path):
    with pytest.raises(data.DataError, match="image_size=8 is for images of a folder; got data set 'digits'"):
        data.load("digits", image_size="8")
    assert choices.image_size("8") == (8, 8)
    assert choices.image_size("32x48") == (32, 48)
    for text in ("", "x", "8x", "0", "8x8x3", "-8", "8.5", "99999"):
        with pytest.raises(ValueError, match=f"image_size={text} must be HEIGHTxWIDTH"):
            choices.image_size(text)
